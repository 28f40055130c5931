// The last words of `npm test`: which suites it left out and how to run them.
console.log(
  '\nLeft out: what takes minutes more (npm run test:long), slower suites with PostgreSQL 17, 16 and 15\n' +
    '(npm run test:versions), and the suite that needs a pgbench ' +
    '(npm run test:debian, on Debian after apt-get install postgresql-client postgresql-contrib).',
);
