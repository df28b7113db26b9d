// SPDX-License-Identifier: Apache-2.0
// altcha-lib: the solver of ALTCHA's second protocol; iterations and salt are the arguments.

import { solveChallenge } from 'altcha-lib';
import { deriveKey } from 'altcha-lib/algorithms/pbkdf2';
import { serve, versionOf } from './serve.mjs';

const [cost, salt] = process.argv.slice(2);

async function solve(prefix, target) {
  const parameters = {
    algorithm: 'PBKDF2/SHA-256',
    nonce: prefix,
    salt,
    cost: Number(cost),
    keyLength: 32,
    keyPrefix: target,
  };
  const { counter } = await solveChallenge({ challenge: { parameters }, deriveKey });
  return counter + 1;
}

await serve(solve, versionOf('altcha-lib'));
