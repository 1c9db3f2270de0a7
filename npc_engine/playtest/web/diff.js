/** Which words differ between two texts. */

const MAX_WORDS = 400;

/**
 * The words of both texts, each with whether it stands in the other too (longest common subsequence).
 *
 * @returns {[{text: string, isShared: boolean}[], {text: string, isShared: boolean}[]]}
 */
export function wordDiff(left, right) {
  const a = split(left);
  const b = split(right);
  if (a.length > MAX_WORDS || b.length > MAX_WORDS) {
    const isShared = left === right;
    return [a.map((text) => ({ text, isShared })), b.map((text) => ({ text, isShared }))];
  }
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i][j] =
        plain(a[i]) === plain(b[j]) ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
    }
  }
  const marks = [a.map(() => false), b.map(() => false)];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (plain(a[i]) === plain(b[j])) marks[0][i++] = marks[1][j++] = true;
    else if (lengths[i + 1][j] >= lengths[i][j + 1]) i++;
    else j++;
  }
  const marked = (texts, side) => texts.map((text, index) => ({ text, isShared: marks[side][index] }));
  return [marked(a, 0), marked(b, 1)];
}

const split = (text) => text.split(/\s+/).filter(Boolean);
const plain = (word) => word.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
