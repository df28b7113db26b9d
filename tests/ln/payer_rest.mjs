// SPDX-License-Identifier: Apache-2.0
// What buyers ask of their own node: LND's `/v2/router/send`, and Core Lightning's `/v1/pay`.

import { Lines, Refusal, serve } from "./json_http.mjs";
import { onlyWith } from "./gate_rest.mjs";

const CLN_FAILED = 203;
const CLN_EXPIRED = 207;

export class Payer {
    /** Every payment that went through: { hash, preimage, msat }. */
    paid = [];
    #running = new Map();

    constructor(node) {
        this.node = node;
    }

    /** Pays; an invoice that was paid is not paid again. */
    async pay(text, how) {
        const payment = await this.node.pay(text, how);
        this.paid.push(payment);
        return payment;
    }

    /** Pays as Core Lightning does, which tells of the same payment when it is asked twice. */
    payOnce(text) {
        if (!this.#running.has(text)) {
            const payment = this.pay(text);
            payment.catch(() => this.#running.delete(text));
            this.#running.set(text, payment);
        }
        return this.#running.get(text);
    }
}

export function serveLndPayer(payer, macaroon) {
    return serve([
        ["POST", "/v2/router/send", async (_, { payment_request }) => {
            const result = await payer.pay(payment_request).then(succeeded, failed);
            return new Lines((write) => {
                write({ result });
                write(null);
            });
        }],
    ], onlyWith(macaroon));
}

const succeeded = ({ hash, preimage, msat }) => ({
    payment_hash: hash, payment_preimage: preimage, status: "SUCCEEDED",
    value_sat: `${Math.floor(msat / 1000)}`, value_msat: `${msat}`, fee_msat: "0",
    failure_reason: "FAILURE_REASON_NONE",
});

/** What LND refuses before it sends anything is an error; what the way refuses is a result. */
function failed(error) {
    const code = { "invoice is already paid": 6, "invoice expired": 2 }[error.message];
    if (code)
        throw new Refusal(code === 6 ? 409 : 500, { error: { code, message: error.message } });
    return {
        status: "FAILED", payment_preimage: "0".repeat(64),
        failure_reason: "FAILURE_REASON_INCORRECT_PAYMENT_DETAILS",
    };
}

export function serveClnPayer(payer, rune) {
    const pay = async (_, { bolt11 }) => {
        const { hash, preimage, msat } = await payer.payOnce(bolt11).catch(({ message }) => {
            const code = message === "invoice expired" ? CLN_EXPIRED : CLN_FAILED;
            throw new Refusal(500, { code, message });
        });
        return {
            payment_hash: hash, payment_preimage: preimage, status: "complete", parts: 1,
            amount_msat: msat, amount_sent_msat: msat,
        };
    };
    return serve([["POST", "/v1/pay", pay]], ({ rune: given }) => {
        if (given !== rune) throw new Refusal(401, { code: 1501, message: "Not authorized" });
    });
}
