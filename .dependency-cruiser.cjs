// The law of the packages (docs/architecture.md): a lower layer never imports a higher one, services never import each other, pure packages
// do no I/O, production never imports tests.
const layers = [['base'], ['pg-format', 'redo', 'consensus', 'wire', 'remote-storage', 'auth', 'service'], ['pageserver', 'safekeeper', 'compute'], ['control-plane'], ['cli']];
const above = (layer) => layers.slice(layer + 1).flat().join('|');

module.exports = {
  forbidden: [
    ...layers.slice(0, -1).map((names, layer) => ({
      name: `layer-${layer}-imports-nothing-higher`,
      severity: 'error',
      from: { path: `^packages/(${names.join('|')})/` },
      to: { path: `^packages/(${above(layer)})/` },
    })),
    {
      name: 'services-never-import-each-other',
      severity: 'error',
      from: { path: '^packages/(pageserver|safekeeper|compute)/' },
      to: { path: '^packages/(pageserver|safekeeper|compute)/', pathNot: '^packages/$1/' },
    },
    {
      name: 'pure-packages-do-no-io',
      severity: 'error',
      from: { path: '^packages/(pg-format|redo|consensus)/src', pathNot: '\\.(test|prop|pg\\.test|prop\\.test)\\.ts$|test-support' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'production-never-imports-tests',
      severity: 'error',
      from: { path: '^packages/(?!testing)[^/]+/src', pathNot: '\\.test\\.ts$|test-support' },
      to: { path: '^packages/testing/|\\.test\\.ts$|^integration_tests/|^simulation/|test-support' },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)dist/' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['source', 'import', 'node', 'default'], extensions: ['.ts', '.js', '.json'] },
  },
};
