// What the JavaScript client sees of a repository: `node client.mjs MODULES URL REPO`, one line of JSON.
import { createHash } from "node:crypto";
import { pathToFileURL } from "node:url";

const [modules, hubUrl, repo] = process.argv.slice(2);
const { listFiles, downloadFile, modelInfo } = await import(pathToFileURL(`${modules}/@huggingface/hub/dist/index.mjs`));

const files = {};
for await (const file of listFiles({ repo, hubUrl, recursive: true })) {
  if (file.type !== "file") continue;
  const content = await downloadFile({ repo, path: file.path, hubUrl, xet: false });
  files[file.path] = createHash("sha256").update(Buffer.from(await content.arrayBuffer())).digest("hex");
}
const info = await modelInfo({ name: repo, hubUrl, additionalFields: ["sha"] });
console.log(JSON.stringify({ files, name: info.name, sha: info.sha }));
