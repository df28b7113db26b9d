// SPDX-License-Identifier: Apache-2.0
// What the clients have in common, as in ../python_clients/paying.py: `node program WHO URL TIMES`.

/** Pays an invoice; the preimage in hex. */
export async function pay(invoice) {
    const paid = await fetch(`${process.env.PAYER_CLN_URL}/v1/pay`, {
        method: "POST",
        headers: { rune: process.env.PAYER_RUNE },
        body: JSON.stringify({ bolt11: invoice }),
    });
    if (!paid.ok) throw new Error(`the wallet says ${paid.status}`);
    return (await paid.json()).payment_preimage;
}

/** Fetches as the command line says, `{}` in the URL being the number of the fetch; prints each [status, body]. */
export async function run(client) {
    const [who, url, times] = process.argv.slice(2);
    const one = client();
    const answers = [];
    for (let time = 0; time < Number(times); time++) {
        const fetchPaid = who === "one" ? one : client();
        answers.push(await fetchPaid(url.replace("{}", time)).catch((error) => [0, String(error)]));
    }
    console.log(JSON.stringify(answers));
}
