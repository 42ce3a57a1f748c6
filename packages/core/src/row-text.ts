/** What a text of a row is, whatever its meaning. */

/** False for text that UTF-8 or a database cannot hold: lone surrogates, NUL. */
export const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes('\0');

/** True for text that shows nothing: white space of any kind, zero-width and other invisible characters, a byte order mark. */
export const isBlank = (text: string): boolean => !visible.test(text);
// U+2800 is the Braille cell without dots.
const visible = /[^\s\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}\u2800]/u;

/** Longest text of a row, in UTF-16 units: no model reads more, and one such row must not fill the memory. */
export const maxTextLength = 1_000_000;
