import { create, fromBinary, toBinary, type DescMessage, type DescService, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import type { GenService, GenServiceMethods } from '@bufbuild/protobuf/codegenv2';
import { Client, Metadata, type CallOptions, type ChannelCredentials, type ClientOptions, type MethodDefinition, type ServiceDefinition } from '@grpc/grpc-js';

/**
 * Bridge between protobuf-es service descriptors and grpc-js. Nothing else in the product touches wire bytes.
 * Unary and server-streaming methods only: the worker protocol has no others.
 */
interface CallSettings { readonly signal?: AbortSignal; readonly timeoutMs?: number }

type Io = { readonly input: DescMessage; readonly output: DescMessage };
type Unary<M extends Io> = (request: MessageInitShape<M['input']>, settings?: CallSettings) => Promise<MessageShape<M['output']>>;
type ServerStream<M extends Io> = (request: MessageInitShape<M['input']>, settings?: CallSettings) => AsyncIterable<MessageShape<M['output']>>;

export type RpcClient<S extends GenServiceMethods> = {
  readonly [K in keyof S]: S[K]['methodKind'] extends 'unary' ? Unary<S[K]> : S[K]['methodKind'] extends 'server_streaming' ? ServerStream<S[K]> : never;
} & { close(): void };

/** The grpc-js definition of a service: paths, codecs and stream flags from its descriptor. Serves clients and, in tests, servers. */
export function serviceDefinition(service: DescService): ServiceDefinition {
  return Object.fromEntries(service.methods.map((method): [string, MethodDefinition<unknown, unknown>] => {
    const input = codec(method.input);
    const output = codec(method.output);
    return [method.localName, {
      path: `/${service.typeName}/${method.name}`,
      originalName: method.localName,
      requestStream: false,
      responseStream: method.methodKind === 'server_streaming',
      requestSerialize: input.serialize,
      requestDeserialize: input.deserialize,
      responseSerialize: output.serialize,
      responseDeserialize: output.deserialize,
    }];
  }));
}

export function createRpcClient<S extends GenServiceMethods>(service: GenService<S>, address: string, credentials: ChannelCredentials, options: ClientOptions): RpcClient<S> {
  const channel = new Client(address, credentials, options);
  const methods = service.methods.map((method): [string, unknown] => {
    const path = `/${service.typeName}/${method.name}`;
    const input = codec(method.input);
    const output = codec(method.output);

    const unary = (init: MessageInitShape<DescMessage>, settings: CallSettings = {}): Promise<unknown> => new Promise((resolve, reject) => {
      const call = channel.makeUnaryRequest(path, input.serialize, output.deserialize, create(method.input, init), new Metadata(), deadline(settings), (error, value) => {
        release();
        if (error !== null) reject(error); else resolve(value);
      });
      const release = cancelOnAbort(settings.signal, call);
    });

    async function* stream(init: MessageInitShape<DescMessage>, settings: CallSettings = {}): AsyncGenerator<unknown> {
      const call = channel.makeServerStreamRequest(path, input.serialize, output.deserialize, create(method.input, init), new Metadata(), deadline(settings));
      const release = cancelOnAbort(settings.signal, call);
      try { yield* call as AsyncIterable<unknown>; } finally { release(); call.cancel(); }
    }
    return [method.localName, method.methodKind === 'server_streaming' ? stream : unary];
  });
  return Object.assign(Object.fromEntries(methods), { close: () => { channel.close(); } }) as RpcClient<S>;
}

function codec(schema: DescMessage): { readonly serialize: (value: unknown) => Buffer; readonly deserialize: (bytes: Buffer) => unknown } {
  return {
    serialize: (value) => Buffer.from(toBinary(schema, value as MessageShape<DescMessage>)),
    deserialize: (bytes) => fromBinary(schema, bytes),
  };
}

const deadline = (settings: CallSettings): CallOptions => (settings.timeoutMs === undefined ? {} : { deadline: Date.now() + settings.timeoutMs });

function cancelOnAbort(signal: AbortSignal | undefined, call: { cancel(): void }): () => void {
  if (signal === undefined) return () => undefined;
  const cancel = (): void => { call.cancel(); };
  if (signal.aborted) cancel(); else signal.addEventListener('abort', cancel, { once: true });
  return () => { signal.removeEventListener('abort', cancel); };
}
