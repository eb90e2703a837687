// Doing something: one place that asks for fresh proof of who one is when the server wants it, says what was done, and says what was not.
import { asProblem, type Problem } from './api';
import { signedOut } from './session.svelte';
import { toast } from './toast.svelte';

interface Asking {
  again: () => void;
  giveUp: () => void;
}

let asking = $state.raw<Asking>();

export const proof = {
  get asked() {
    return asking;
  },
};

export function proved(): void {
  asking?.again();
  asking = undefined;
}
export function notProved(): void {
  asking?.giveUp();
  asking = undefined;
}

/** Runs `what`; with `done` it says so. A refusal is shown, unless `onProblem` takes it. True when it was done. */
export async function act(what: () => Promise<unknown>, options: { done?: string; undo?: { title: string; run: () => void }; onProblem?: (problem: Problem) => boolean | void } = {}): Promise<boolean> {
  for (let round = 0; ; ++round) {
    try {
      await what();
      if (options.done) toast(options.done, 'done', options.undo);
      return true;
    } catch (trouble) {
      const problem = asProblem(trouble);
      if (problem.needsProof && round < 2) {
        const again = await new Promise<boolean>((decide) => {
          asking = { again: () => decide(true), giveUp: () => decide(false) };
        });
        if (again) continue;
        return false;
      }
      if (problem.signedOut && round < 4) {
        // What was about to be done waits until the same person is signed in again.
        await signedOut();
        continue;
      }
      if (!options.onProblem?.(problem)) toast(problem.line, 'trouble');
      return false;
    }
  }
}
