export const blockTone = (state: string): 'fire' | 'glow' | 'sea' | 'done' | 'calm' =>
  state === 'waits' || state === 'rolled_back' || state === 'refused' ? 'glow' : state === 'in_force' ? 'done' : state === 'over' || state === 'stopped' || state === 'asked' ? 'calm' : 'sea';
