// oauth2-mock-server with one user, whose next ID tokens are changed as each line of the input says.
// Called with the path of the package; says its address in the first line of its output, then `ok` for each line.
import { createInterface } from "node:readline";

const { OAuth2Server } = await import(process.argv[2]);
const server = new OAuth2Server();
await server.issuer.keys.generate("RS256");

let claims = {};
server.service.on("beforeTokenSigning", (token) => {
  for (const [name, value] of Object.entries(claims)) {
    if (value === null) delete token.payload[name];
    else token.payload[name] = value;
  }
});
server.service.on("beforeUserinfo", (answer) => {
  answer.body = { sub: claims.sub ?? "johndoe" };
});

await server.start(0, "127.0.0.1");
console.log(server.issuer.url);
for await (const line of createInterface({ input: process.stdin })) {
  claims = JSON.parse(line);
  console.log("ok");
}
await server.stop();
