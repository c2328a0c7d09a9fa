// Preloaded into a server that would listen on every address: makes it listen on loopback alone.
const net = require("net");
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...args) {
  const options = typeof args[0] === "object" && args[0] !== null ? args[0] : { port: args[0] };
  const ready = args.find((arg) => typeof arg === "function");
  return listen.call(this, { ...options, host: "127.0.0.1" }, ready);
};
