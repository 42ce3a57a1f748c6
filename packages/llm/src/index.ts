export type { DropReason } from './completion.ts';
export { ledgerKey, type Ledger, type LedgerAnswer } from './ledger.ts';
export { createTeacher, type Teacher, type TeacherAnswer, type TeacherDependencies, type TeacherRequest } from './teacher.ts';
export { checkTeacherUrl } from './url-guard.ts';
export type { TeacherUsage } from './usage.ts';
export type { TeacherWait } from './waiting.ts';
