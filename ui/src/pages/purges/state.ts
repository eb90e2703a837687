export const toneOf = (state: string): 'fire' | 'glow' | 'sea' | 'done' | 'calm' =>
  state === 'asked' ? 'glow' : state === 'running' || state === 'undoing' ? 'sea' : state === 'emptied' || state === 'done' || state === 'undone' ? 'done' : state === 'withdrawn' ? 'glow' : 'calm';
