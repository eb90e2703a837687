export default {
  compilerOptions: { runes: true },
  // A warning of the compiler (most are about accessibility) is a fault.
  onwarn(warning) {
    throw new Error(`${warning.filename}: ${warning.code}: ${warning.message}`);
  },
};
