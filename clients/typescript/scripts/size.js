// Fails when all of the client, minified and zipped, is larger than a page should have to load for it.
import { gzipSync } from "node:zlib";
import { buildSync } from "esbuild";

const LIMIT = 6144;

const { outputFiles } = buildSync({
    entryPoints: ["src/index.ts"],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    write: false,
});
const size = gzipSync(outputFiles[0].contents, { level: 9 }).length;
console.log(`${size} bytes minified and zipped, of less than ${LIMIT}`);
process.exitCode = size < LIMIT ? 0 : 1;
