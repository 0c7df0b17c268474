import { inQuery } from '../api/operation.ts';

export const JOB = inQuery('job', 'The job whose server is asked; needed where there are several.', {
  pattern: '[a-z0-9-]{1,40}',
});
