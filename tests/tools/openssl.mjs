// Stands in for the openssl program where it is not installed, on the OpenSSL inside Node: the three calls that the
// documentation makes. `dgst -sha256 [-mac HMAC -macopt hexkey:K] [FILE]`, `enc -d -CIPHER -K K -iv IV -in F -out F`.
import { createDecipheriv, createHash, createHmac } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";

const [command, ...rest] = process.argv.slice(2);
const after = (name) => (rest.includes(name) ? rest[rest.indexOf(name) + 1] : undefined);
const hex = (text) => Buffer.from(text, "hex");

if (command === "dgst" && rest[0] === "-sha256") {
  const key = after("-macopt")?.replace(/^hexkey:/, "");
  const file = key === undefined ? rest[1] : rest[5];
  const digest = key === undefined ? createHash("sha256") : createHmac("sha256", hex(key));
  console.log(`SHA2-256(${file ?? "stdin"})= ${digest.update(readFileSync(file ?? 0)).digest("hex")}`);
} else if (command === "enc" && rest[0] === "-d") {
  const decipher = createDecipheriv(rest[1].slice(1), hex(after("-K")), hex(after("-iv")));
  writeFileSync(after("-out"), Buffer.concat([decipher.update(readFileSync(after("-in"))), decipher.final()]));
} else {
  throw new Error(`no such call: openssl ${process.argv.slice(2).join(" ")}`);
}
