// Reads numbers, makes that many objects for each, and answers with the bytes of heap in use.
// With the argument `keep` it keeps them all.
"use strict";

const keep = process.argv[2] === "keep";
const kept = [];

function record(number) {
    return { number, name: `record ${number}`, tags: [number, number % 7, `${number % 1000}`] };
}

require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
    for (let left = Number(line); left > 0; left--) {
        const made = record(Math.floor(Math.random() * 1e9));
        if (keep) kept.push(made);
    }
    console.log(process.memoryUsage().heapUsed);
});
