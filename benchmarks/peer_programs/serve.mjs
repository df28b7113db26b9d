// SPDX-License-Identifier: Apache-2.0
// How a peer in Node is asked: a job on each line, answered with hashes and CPU time of the
// whole process. The first line it prints tells the versions. serving.py is the same for Python.

import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

// The installed version of a package, or nothing for what Node itself brings.
export function versionOf(name) {
  const manifest = new URL(`node_modules/${name}/package.json`, import.meta.url);
  return `${name} ${JSON.parse(readFileSync(manifest, 'utf8')).version}`;
}

// `solve` takes prefix, target (hex) and the number of hashes that find it, and gives how many
// it took, at once or later.
export async function serve(solve, version) {
  console.log(JSON.stringify({ version: `${version} (Node ${process.versions.node})` }));
  for await (const line of createInterface({ input: process.stdin })) {
    const { prefix, target, hashes } = JSON.parse(line);
    const before = process.cpuUsage();
    const taken = await solve(prefix, target, hashes);
    const spent = process.cpuUsage(before);
    console.log(JSON.stringify({ hashes: taken, ns: 1000 * (spent.user + spent.system) }));
  }
}
