// SPDX-License-Identifier: Apache-2.0
// node:crypto, the createHash that most code uses.

import { createHash } from 'node:crypto';
import { serve } from './serve.mjs';

function solve(prefix, target) {
  for (let nonce = 0; ; nonce++) {
    if (createHash('sha256').update(prefix + nonce).digest('hex') === target) return nonce + 1;
  }
}

await serve(solve, `OpenSSL ${process.versions.openssl}`);
