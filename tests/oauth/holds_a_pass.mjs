// SPDX-License-Identifier: Apache-2.0
// Buys a pass for its own key, and uses it, as the MCP client for TypeScript does with any token
// that is bound to a key. One line of JSON on stdin says where, and the proof of work; one on
// stdout the pass, and the statuses of what was sent with it.
import { once } from "node:events";
import { createInterface } from "node:readline";

import { DpopSession, withDpop } from "@modelcontextprotocol/client";

const [line] = await once(createInterface({ input: process.stdin }), "line");
const { url, solution, alg, calls } = JSON.parse(line);
const session = await DpopSession.create({ alg });

async function buy() {
  const proof = await session.buildProof({ htm: "GET", htu: url });
  const answer = await fetch(url, { headers: { "X-PoW-Solution": solution, DPoP: proof } });
  session.observeNonce(answer, url);
  return answer;
}

let bought = await buy();
const statuses = [bought.status];
if (bought.status === 401) {
  bought = await buy();
  statuses.push(bought.status);
}
const pass = bought.headers.get("X-PoW-Pass");
const holding = withDpop(session, () => pass)(fetch);
for (let call = 0; call < calls; call += 1) statuses.push((await holding(url)).status);
const thief = await DpopSession.create({ alg });
const stolen = [
  (await fetch(url, { headers: { Authorization: `Bearer ${pass}` } })).status,
  (await withDpop(thief, () => pass)(fetch)(url)).status,
];
console.log(JSON.stringify({ pass, thumbprint: session.thumbprint, statuses, stolen }));
