// A talk in the terminal: node example/talk.mjs [ADDRESS] [CHARACTER]
import { createInterface } from "node:readline/promises";
import { ActionFailed, NpcClient } from "npc-engine-client";

const [address = "tcp://127.0.0.1:5570", wanted] = process.argv.slice(2);
const client = new NpcClient(address, { onLost: (error) => console.error(error.message) });
await client.connect();
const character = wanted ?? (await client.characters())[0].id;
const stock = new Map([["dagger", 3]]);
const talk = await client.open(character, {
  playerId: "ada",
  playerName: "Ada",
  onAction: ({ name, arguments: given }) => {
    if (name !== "sell_item" || !stock.get(given.item)) throw new ActionFailed(`there is no ${given.item} to sell`);
    stock.set(given.item, stock.get(given.item) - 1);
    return { sold: given.item };
  },
});
console.log(talk.greeting);
for await (const line of createInterface({ input: process.stdin })) {
  for await (const event of talk.say(line)) {
    if (event.kind === "token") process.stdout.write(event.text);
    if (event.kind === "turn_end") console.log();
  }
}
client.close();
