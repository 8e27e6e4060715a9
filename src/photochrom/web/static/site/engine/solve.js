// Linear systems, small ones: Gauss's elimination with the largest pivot of a column.

/** The X of A X = B, all as arrays of rows. */
export function solve(A, B) {
  const n = A.length;
  const rows = A.map((row, i) => [...row, ...B[i]]);
  for (let column = 0; column < n; column++) {
    let best = column;
    for (let i = column + 1; i < n; i++) if (Math.abs(rows[i][column]) > Math.abs(rows[best][column])) best = i;
    [rows[column], rows[best]] = [rows[best], rows[column]];
    const pivot = rows[column];
    for (let i = 0; i < n; i++) {
      if (i === column) continue;
      const factor = rows[i][column] / pivot[column];
      if (factor === 0) continue;
      for (let j = column; j < pivot.length; j++) rows[i][j] -= factor * pivot[j];
    }
  }
  return rows.map((row, i) => row.slice(n).map((value) => value / row[i]));
}
