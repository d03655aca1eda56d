#!/usr/bin/env node
// solcjs kept warm for `mutate.py`: one compilation a line, so that it is loaded once and not for each of thousands.
// Reads {"sources": {path: text}, "target": "path:Contract"}; writes {"bytecode": hex} or {"errors": [text]}.
// Sources that are not given are read below the working directory. The optimizer is off, the metadata left out.
'use strict';
const fs = require('fs');
const path = require('path');
const readline = require('readline');

const solc = require(path.resolve('node_modules', 'solc'));
const cached = new Map();

function read(name) {
  if (!cached.has(name)) {
    const file = ['.', 'node_modules'].map((root) => path.join(root, name)).find((place) => fs.existsSync(place));
    cached.set(name, file ? { contents: fs.readFileSync(file, 'utf8') } : { error: `File not found: ${name}` });
  }
  return cached.get(name);
}

function compile({ sources, target }) {
  const [file, name] = target.split(':');
  const given = new Map(Object.entries(sources));
  const lookUp = (source) => (given.has(source) ? { contents: given.get(source) } : read(source));
  const input = {
    language: 'Solidity',
    sources: { [file]: { content: lookUp(file).contents } },
    settings: {
      evmVersion: 'shanghai',
      metadata: { appendCBOR: false, bytecodeHash: 'none' },
      outputSelection: { [file]: { [name]: ['evm.bytecode.object'] } },
    },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: lookUp }));
  const errors = (output.errors || []).filter((e) => e.severity === 'error').map((e) => e.formattedMessage);
  return errors.length ? { errors } : { bytecode: output.contracts[file][name].evm.bytecode.object };
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  process.stdout.write(`${JSON.stringify(compile(JSON.parse(line)))}\n`);
});
