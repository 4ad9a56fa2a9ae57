// A web server that greets. HELLO_MSG says whom, PORT where it listens.
'use strict';

const http = require('node:http');

const whom = process.env.HELLO_MSG || 'stranger';
const port = Number(process.env.PORT || 8080);

const pages = {
  '/': `Hello ${whom}, from Node.js!\n`,
  '/healthz': 'ok\n',
};

const server = http.createServer((request, response) => {
  const page = pages[request.url];
  response.writeHead(page ? 200 : 404, { 'Content-Type': 'text/plain; charset=utf-8' });
  response.end(page || 'not found\n');
});

// As the first process of a container it is not ended by a signal that it doesn't handle.
process.on('SIGTERM', () => server.close(() => process.exit(0)));

server.listen(port, () => console.log(`listening on port ${port}`));
