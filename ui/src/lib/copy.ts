import { t } from './i18n.svelte';
import { toast } from './toast.svelte';

/** Into the clipboard, and says so; where the browser does not let us, it says that. */
export async function copy(text: string, said = t('common.copied')): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast(said);
  } catch {
    toast(t('common.not_copied'), 'trouble');
  }
}
