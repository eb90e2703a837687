// Does something burn? Pages that know say so; the fire in the corner shows it.

let lit = $state(false);

export const burning = {
  get now() {
    return lit;
  },
  set(value: boolean) {
    lit = value;
  },
};
