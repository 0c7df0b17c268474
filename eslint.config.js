import js from '@eslint/js';
import vitest from '@vitest/eslint-plugin';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

/**
 * Time, timers, the console and the environment are arguments everywhere but in system/, config/load,
 * sandbox/ and the entry points, so that a test can hold the clock and no module reads hidden state.
 */
const restrictedGlobals = ['setTimeout', 'setInterval', 'setImmediate', 'console', 'fetch'].map((name) => ({
  name,
  message: `Take it as an argument: ${name} belongs in system/ and entry points.`,
}));
const restrictedProperties = [
  { object: 'Date', property: 'now', message: 'Use the Clock argument.' },
  { object: 'process', property: 'env', message: 'Only config/load and entry points read the environment.' },
  { object: 'process', property: 'exit', message: 'Only cli and daemon exit.' },
  { object: 'Math', property: 'random', message: 'Take randomness as an argument.' },
  { object: 'performance', property: 'now', message: 'Use the Clock argument.' },
];
const restrictedSyntax = [
  { selector: 'TSEnumDeclaration', message: 'Use a union of string literals.' },
  { selector: 'ExportDefaultDeclaration', message: 'Use named exports.' },
  { selector: 'NewExpression[callee.name="Date"][arguments.length=0]', message: 'Use the Clock argument.' },
];

export default defineConfig(
  { ignores: ['dist/', 'exports/', 'logs/', 'node_modules/', 'test/fixtures/'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [...tseslint.configs.recommendedTypeChecked],
    languageOptions: {
      parserOptions: { project: ['./test/tsconfig.json'], tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      // A switch over a few of many error codes says `default`; one without has to name them all.
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/require-await': 'off',
      'no-restricted-syntax': ['error', ...restrictedSyntax],
      eqeqeq: 'error',
    },
  },
  {
    files: ['src/**/*.ts'],
    ignores: [
      'src/system/**',
      'src/config/load.ts',
      'src/sandbox/**',
      'src/cli.ts',
      'src/daemon.ts',
      'src/index.ts',
    ],
    rules: {
      'no-restricted-globals': ['error', ...restrictedGlobals],
      'no-restricted-properties': ['error', ...restrictedProperties],
    },
  },
  {
    files: ['test/**/*.ts'],
    plugins: { vitest },
    rules: {
      'vitest/no-focused-tests': 'error',
      'vitest/no-disabled-tests': 'error',
      'vitest/no-identical-title': 'error',
      // The second argument is the message.
      'vitest/valid-expect': ['error', { maxArgs: 2 }],
      'vitest/no-standalone-expect': 'off',
      // `expect...` also as a function of the test's own.
      'vitest/expect-expect': ['error', { assertFunctionNames: ['expect', 'expect*', '**.expect*'] }],
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      'no-restricted-syntax': 'off',
    },
  },
  {
    files: ['src/console/assets/*.js'],
    languageOptions: {
      globals: Object.fromEntries(
        ['document', 'window', 'navigator', 'fetch', 'EventSource', 'history', 'location', 'performance'].map(
          (name) => [name, 'readonly'],
        ),
      ),
    },
  },
  {
    files: ['**/*.mjs', '**/*.cjs', '**/*.js'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        URL: 'readonly',
        module: 'writable',
        require: 'readonly',
        __dirname: 'readonly',
        setTimeout: 'readonly',
      },
    },
  },
);
