// SPDX-License-Identifier: Apache-2.0
// Two Lightning nodes with one channel on a regtest chain. Prints where they are, as one line of
// JSON, once the channel can be used; ends when its standard input does.

import { randomBytes } from "node:crypto";
import { RegtestChain } from "./chain.mjs";
import { serveGate } from "./gate_rest.mjs";
import { Invoices } from "./invoices.mjs";
import { serve } from "./json_http.mjs";
import { LightningNode, loadLightning } from "./node.mjs";
import { Payer, serveClnPayer, serveLndPayer } from "./payer_rest.mjs";

const CHANNEL_SAT = 1_000_000;
const PUSHED_SAT = 200_000;
const CONFIRMED = 6; // blocks, after which LDK takes a channel or an output for settled

process.stdin.on("close", () => process.exit()).resume();

const [chain] = await Promise.all([RegtestChain.start(), loadLightning()]);
const gate = new LightningNode(chain);
const payer = new LightningNode(chain);
chain.onBlock = (...block) => [gate, payer].forEach((node) => node.connect(...block));
for (const node of [gate, payer])
    node.on("broadcast", (raw) => chain.broadcast(raw).catch((error) => {
        if (error.code !== "alreadyknown") throw error; // both sides broadcast a close
    }));

await payer.wire.connect(await gate.wire.listen(), gate.id);
await payer.wire.greeted();
const ready = Promise.all([gate.heard("ChannelReady"), payer.heard("ChannelReady")]);
await payer.openChannel(gate.id, CHANNEL_SAT, PUSHED_SAT, (...asked) => chain.fund(...asked));
await chain.waiting();
await chain.mine(CONFIRMED);
await ready;

const account = new Payer(payer);
const macaroon = randomBytes(32).toString("hex");
const payerMacaroon = randomBytes(32).toString("hex");
const rune = randomBytes(32).toString("base64url");

/** Closes the channel together, and tells what came of it on the chain. */
async function close() {
    const before = chain.height;
    const spendable = gate.heard("SpendableOutputs");
    payer.closeChannel();
    const { id, outputs } = await chain.waiting();
    await chain.mine(CONFIRMED);
    const ours = (await spendable).outputs.map(({ output }) => Number(output.value));
    return {
        txid: id, outputs, gate_outputs: ours, confirmations: await chain.confirmations(id, before),
    };
}

console.log(JSON.stringify({
    channel_sat: CHANNEL_SAT,
    pushed_sat: PUSHED_SAT,
    gate_url: await serveGate(new Invoices(gate, chain), macaroon),
    gate_macaroon: macaroon,
    payer_lnd_url: await serveLndPayer(account, payerMacaroon),
    payer_macaroon: payerMacaroon,
    payer_cln_url: await serveClnPayer(account, rune),
    payer_rune: rune,
    control_url: await serve([
        ["GET", "/paid", () => account.paid],
        ["POST", "/pay", (_, { invoice, ...how }) => account.pay(invoice, how)],
        ["POST", "/close", close],
    ]),
}));
