// Stands in for the age program where it is not installed: `age --decrypt -i IDENTITY [FILE]`, by another
// implementation of the format than ours. The identity may itself be locked; its password comes from AGE_PASSPHRASE.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Decrypter } from "age-encryption";

const { values, positionals } = parseArgs({
  options: { decrypt: { type: "boolean", short: "d" }, identity: { type: "string", short: "i" } },
  allowPositionals: true,
});
if (!values.decrypt) throw new Error("this stand-in only decrypts");
const decrypter = new Decrypter();
if (values.identity) {
  const lines = readFileSync(values.identity, "utf8").split("\n").map((line) => line.trim());
  for (const line of lines) if (line && !line.startsWith("#")) decrypter.addIdentity(line);
} else {
  decrypter.addPassphrase(process.env.AGE_PASSPHRASE);
}
process.stdout.write(await decrypter.decrypt(readFileSync(positionals[0] ?? 0)));
