// SPDX-License-Identifier: Apache-2.0
// The invoices of the gate's node, and what was paid on them.

import { createHash, randomBytes } from "node:crypto";
import { EventEmitter } from "node:events";

const now = () => Math.floor(Date.now() / 1000);

/** Emits "changed" with an invoice that was added or settled. */
export class Invoices extends EventEmitter {
    #byHash = new Map();
    #settled = 0;

    constructor(node, chain) {
        super();
        this.setMaxListeners(0);
        this.node = node;
        this.chain = chain;
        node.claims = (hash) => {
            const found = this.find(hash);
            return found && this.state(found) === "OPEN" ? found.preimage : null;
        };
        node.on("PaymentClaimed", (event) => this.#settle(event));
    }

    async add(msat, memo, expiry, preimage = randomBytes(32)) {
        if (this.chain.clock < now()) await this.chain.mine(); // the node knows no other clock
        const hash = createHash("sha256").update(preimage).digest();
        const text = this.node.invoice(msat, memo, expiry, hash);
        const invoice = {
            text, hash, preimage, msat, memo, expiry, createdAt: this.chain.clock,
            index: this.#byHash.size + 1, paidMsat: 0, settledAt: 0, settleIndex: 0,
        };
        this.#byHash.set(hash.toString("hex"), invoice);
        this.emit("changed", invoice);
        return invoice;
    }

    find(hash) {
        return this.#byHash.get(hash);
    }

    state({ settleIndex, createdAt, expiry }) {
        if (settleIndex) return "SETTLED";
        return createdAt + expiry < now() ? "CANCELED" : "OPEN";
    }

    /** Those settled after a settle index, in that order. */
    settledSince(index) {
        return [...this.#byHash.values()]
            .filter(({ settleIndex }) => settleIndex > index)
            .sort((one, other) => one.settleIndex - other.settleIndex);
    }

    #settle({ payment_hash, amount_msat }) {
        const invoice = this.find(Buffer.from(payment_hash).toString("hex"));
        invoice.paidMsat += Number(amount_msat);
        invoice.settledAt = now();
        invoice.settleIndex ||= ++this.#settled;
        this.emit("changed", invoice);
    }
}
