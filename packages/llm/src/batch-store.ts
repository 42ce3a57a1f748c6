/** A batch that was begun and not yet collected. `batchId` null: nobody knows whether the provider took it. */
export interface OpenBatch { readonly id: string; readonly batchId: string | null; readonly requests: number; readonly createdAt: Date }

/** Where batches are kept between their submission and the collection of their answers, so that a crash neither loses nor repeats one. */
export interface BatchStore {
  /** Open batches with this key, oldest first. */
  open(key: string): Promise<readonly OpenBatch[]>;
  /** Written before the provider is asked for the batch. Returns its id. */
  begin(input: { readonly key: string; readonly requests: number }): Promise<string>;
  submitted(id: string, input: { readonly batchId: string; readonly inputFileId: string }): Promise<void>;
  close(id: string, state: 'collected' | 'failed'): Promise<void>;
}
