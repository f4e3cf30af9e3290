// What the JavaScript client sees of a repository: `node client.mjs MODULES URL REPO`, one line of JSON.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";

const [modules, hubUrl, repo] = process.argv.slice(2);
const load = (name) => createRequire(`${modules}/`)(`@huggingface/${name}`);
const { listFiles, downloadFile, modelInfo } = load("hub");
const { PIPELINE_TYPES } = load("tasks");

const files = {};
for await (const file of listFiles({ repo, hubUrl, recursive: true })) {
  if (file.type !== "file") continue;
  const content = await downloadFile({ repo, path: file.path, hubUrl, xet: false });
  files[file.path] = createHash("sha256").update(Buffer.from(await content.arrayBuffer())).digest("hex");
}
const info = await modelInfo({ name: repo, hubUrl, additionalFields: ["sha"] });
console.log(JSON.stringify({ files, name: info.name, sha: info.sha, task: info.task, known: PIPELINE_TYPES.includes(info.task) }));
