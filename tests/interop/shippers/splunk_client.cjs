// Events of standard input to the collector with npm's splunk-logging. It batches, sends and tries again by itself; when it gives up on a
// batch, that batch is offered once more. usage: splunk_client.cjs URL TOKEN
const readline = require("node:readline");
const { Logger } = require("splunk-logging");

const [url, token] = process.argv.slice(2);
let repeated = 0;

function deliver(batch) {
  return new Promise((done) => {
    const logger = new Logger({ token, url, maxRetries: 12, maxBatchCount: 0, batchInterval: 0 });
    logger.error = () => {}; // each failed try is told here, too
    for (const message of batch) logger.send({ message, metadata: { sourcetype: "made_up", host: "app1.example.org" } });
    logger.flush((error, response, body) => done(!error && body && body.code === 0));
  });
}

(async () => {
  let batch = [];
  const send = async () => {
    while (batch.length && !(await deliver(batch))) repeated += 1;
    batch = [];
  };
  for await (const line of readline.createInterface({ input: process.stdin })) {
    batch.push(JSON.parse(line));
    if (batch.length === 200) await send();
  }
  await send();
  console.log(`${repeated} batches offered again`);
  process.exit(0);
})();
