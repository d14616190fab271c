// Requests to the server, and what goes wrong with them in one sentence.

export class ApiError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

export async function api(path, { method = "GET", body, signal } = {}) {
  let response;
  try {
    response = await fetch(path, {
      method,
      signal,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError("The server does not answer. Is it still running?");
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  throw new ApiError(await reason(response), response.status);
}

async function reason(response) {
  if (response.status === 401) {
    return "This page belongs to a server that was started anew: open the address on its terminal.";
  }
  const text = await response.text().catch(() => "");
  return text && text.length < 300 ? text.trim() : `The server answered with status ${response.status}.`;
}
