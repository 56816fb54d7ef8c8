// Passkeys as browsers offer them: the server's options into the browser's, its answers into JSON
// (Web Authentication Level 3). Newer browsers do both themselves; the rest is done here alike.

/** Whether this page may use passkeys whose pages have this origin. */
export function canUsePasskeys(origin: string | null | undefined): boolean {
  return typeof origin === 'string' && origin === location.origin && typeof PublicKeyCredential === 'function';
}

/** Whether the browser lists passkeys where it fills in addresses and passwords. */
export async function offersAutofill(): Promise<boolean> {
  const ask = (PublicKeyCredential as any)?.isConditionalMediationAvailable;
  return typeof ask === 'function' && (await ask.call(PublicKeyCredential)) === true;
}

export function fromBase64url(text: string): ArrayBuffer {
  const bytes = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(bytes, (char) => char.charCodeAt(0)).buffer;
}

export function toBase64url(bytes: ArrayBuffer): string {
  const text = String.fromCharCode(...new Uint8Array(bytes));
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

const withBytes = (known: any) => ({ ...known, id: fromBase64url(known.id) });

export function creationOptions(json: any): PublicKeyCredentialCreationOptions {
  return {
    ...json,
    challenge: fromBase64url(json.challenge),
    user: withBytes(json.user),
    excludeCredentials: json.excludeCredentials.map(withBytes),
  };
}

export function requestOptions(json: any): PublicKeyCredentialRequestOptions {
  return { ...json, challenge: fromBase64url(json.challenge), allowCredentials: json.allowCredentials.map(withBytes) };
}

/** What the server is sent of a credential that was made. */
function created(credential: PublicKeyCredential): unknown {
  const response = credential.response as AuthenticatorAttestationResponse;
  return {
    id: credential.id,
    type: credential.type,
    response: {
      clientDataJSON: toBase64url(response.clientDataJSON),
      attestationObject: toBase64url(response.attestationObject),
      transports: response.getTransports?.() ?? [],
    },
  };
}

/** What the server is sent of a credential that was used. */
function used(credential: PublicKeyCredential): unknown {
  const response = credential.response as AuthenticatorAssertionResponse;
  return {
    id: credential.id,
    type: credential.type,
    response: {
      clientDataJSON: toBase64url(response.clientDataJSON),
      authenticatorData: toBase64url(response.authenticatorData),
      signature: toBase64url(response.signature),
      ...(response.userHandle === null ? {} : { userHandle: toBase64url(response.userHandle) }),
    },
  };
}

/** The browser's reasons in words that help. */
export function passkeyProblem(error: unknown): Error {
  const name = error instanceof DOMException ? error.name : '';
  if (name === 'InvalidStateError') return new Error('This device has a passkey for your account already.');
  if (name === 'NotAllowedError') return new Error('No passkey was used: it was cancelled, took too long, or there is none here.');
  if (name === 'SecurityError') return new Error('The browser does not offer passkeys on this page.');
  return error instanceof Error ? error : new Error(String(error));
}

async function asked(work: () => Promise<Credential | null>): Promise<PublicKeyCredential> {
  try {
    const credential = await work();
    if (credential === null) throw new Error('The browser gave no passkey.');
    return credential as PublicKeyCredential;
  } catch (error) {
    // Not a problem: somebody else asks, or the page is left.
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw passkeyProblem(error);
  }
}

/** Makes a passkey; the user is asked by the browser. */
export async function createPasskey(options: any): Promise<unknown> {
  return created(await asked(() => navigator.credentials.create({ publicKey: creationOptions(options) })));
}

/** Uses a passkey. With `signal` alone the browser offers it where it fills addresses in, and waits. */
export async function usePasskey(options: any, signal?: AbortSignal): Promise<unknown> {
  const publicKey = requestOptions(options);
  const wish: CredentialRequestOptions = signal === undefined ? { publicKey } : { publicKey, signal, mediation: 'conditional' };
  return used(await asked(() => navigator.credentials.get(wish)));
}
