// SPDX-License-Identifier: Apache-2.0
// altcha-lib: the solver of ALTCHA's first protocol.

import { solveChallenge } from 'altcha-lib/v1';
import { serve, versionOf } from './serve.mjs';

async function solve(prefix, target, hashes) {
  const { number } = await solveChallenge(target, prefix, 'SHA-256', hashes).promise;
  return number + 1;
}

await serve(solve, versionOf('altcha-lib'));
