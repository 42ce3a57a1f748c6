export const suites = ['unit', 'python', 'e2e'] as const;
export type Suite = (typeof suites)[number];
