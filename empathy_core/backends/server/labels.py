"""How probable each of a few given answers is, as a server's model continues a prompt.

The logarithms are the model's own, before temperature and penalties: those of the label's tokens
behind the prompt's, as the server tells them of a prompt that holds both; or, where each label is
one token, as it tells them of the token that would come next.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from empathy_core.backends.probabilities import Ids, LabelProbabilities, check_labels
from empathy_core.backends.server import replies
from empathy_core.backends.server.budget import Budget
from empathy_core.backends.server.client import Client, MalformedReply, NoReply
from empathy_core.backends.server.connection import Connection, Link
from empathy_core.errors import ModelError

FIELDS: Mapping[str, Mapping[str, Any]] = {
    "prompt_logprobs": {"max_tokens": 1, "prompt_logprobs": 0},
    "echo": {"max_tokens": 0, "echo": True, "logprobs": 0},
    "next_token": {"max_tokens": 1, "logprobs": 1, "return_tokens_as_token_ids": True},
}
"""How a server is asked for the logarithms of given tokens (vLLM knows all three).

The last reads a prompt once for all labels, and what prompts share once for all of them; vLLM keeps
nothing of a prompt whose own tokens are asked for.
"""


def label_probabilities(
    connection: Connection, budget: Budget, prompts: Sequence[Ids], labels: Sequence[Ids]
) -> list[LabelProbabilities]:
    """Return what the server's model makes of labels behind each prompt.

    Args:
        connection: The server.
        budget: What may be spent.
        prompts: Their token ids.
        labels: Token ids of each; see ``check_labels``.

    Raises:
        ModelError: The labels cannot be told apart, the server has no such probabilities, refuses
            or does not answer, or a prompt with a label does not fit.
    """
    check_labels(labels)
    way = connection.engine.probabilities
    if way is None:
        msg = (
            f"engine '{connection.engine.name}' is not known to tell probabilities of given "
            f"labels; expected probabilities = {', '.join(map(repr, FIELDS))} under "
            f"[engines.{connection.engine.name}]; use vLLM or hf, or read the label from a text"
        )
        raise ModelError(msg)
    longest = max(map(len, prompts), default=0) + max(map(len, labels))
    if connection.window is not None and longest >= connection.window:
        msg = (
            f"engine '{connection.engine.name}' takes {connection.window} tokens, and a prompt "
            f"with a label has {longest}; expected room for both; shorten the prompt"
        )
        raise ModelError(msg)
    return asyncio.run(_all(connection, budget, prompts, labels, way))


async def _all(
    connection: Connection,
    budget: Budget,
    prompts: Sequence[Ids],
    labels: Sequence[Ids],
    way: str,
) -> list[LabelProbabilities]:
    slots = asyncio.Semaphore(connection.engine.max_in_flight)
    async with connection.opened() as link:

        async def one(prompt: Ids) -> LabelProbabilities:
            async with slots:
                return await _answered(connection, budget, link, prompt, labels, way)

        try:
            return list(await asyncio.gather(*map(one, prompts)))
        except MalformedReply as error:
            msg = (
                f"engine '{connection.engine.name}': the server did not tell the probabilities of "
                f"labels ({error}); expected the logarithm of each token's; see that it runs, and "
                "what 'probabilities' of the engine says"
            )
            raise ModelError(msg) from error


async def _answered(
    connection: Connection,
    budget: Budget,
    link: Link,
    prompt: Ids,
    labels: Sequence[Ids],
    way: str,
) -> LabelProbabilities:
    """Ask until there is an answer; a server of ours that died is started again, a few times."""
    while True:
        generation = link.generation
        try:
            return await _told(connection, budget, link.client, prompt, labels, way)
        except NoReply as error:
            await link.revive(generation, str(error))


async def _told(
    connection: Connection,
    budget: Budget,
    client: Client,
    prompt: Ids,
    labels: Sequence[Ids],
    way: str,
) -> LabelProbabilities:
    """Ask for all labels of one prompt in one request."""
    if way == "next_token" and any(len(label) > 1 for label in labels):
        way = "prompt_logprobs"
    ahead = way == "next_token"
    whole = [prompt] if ahead else [(*prompt, *label) for label in labels]
    n_tokens, n_made = sum(map(len, whole)), FIELDS[way]["max_tokens"] * len(whole)
    reserved = budget.reserve(n_tokens, n_made)
    fields = {**FIELDS[way], "temperature": 0.0}
    if ahead:
        fields["logprob_token_ids"] = [token for (token,) in labels]
    if connection.engine.returns_tokens:
        fields["return_token_ids"] = True
    reply = await client.complete(whole, fields)
    budget.settle(reserved, n_tokens, n_made)
    if way != "echo":
        for sent, choice in zip(whole, reply["choices"], strict=True):
            replies.check_echo(choice, sent, connection.engine.name)
    if ahead:
        return LabelProbabilities.of(labels, _of_next(reply["choices"][0], labels))
    logs = [
        sum(_of_tokens(choice, sent, way)[-len(label) :])
        for sent, label, choice in zip(whole, labels, reply["choices"], strict=True)
    ]
    return LabelProbabilities.of(labels, logs)


def _of_next(choice: Mapping[str, Any], labels: Sequence[Ids]) -> list[float]:
    """Return the natural logarithm of each label's probability to come next.

    Raises:
        MalformedReply: One is not there.
    """
    try:
        told = choice["logprobs"]["top_logprobs"][0]
        return [float(told[f"token_id:{token}"]) for (token,) in labels]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        msg = "the answer holds no logarithms of the tokens that were asked for"
        raise MalformedReply(msg) from error


def _of_tokens(choice: Mapping[str, Any], sent: Ids, way: str) -> list[float]:
    """Return the natural logarithm of each token's probability but the first's.

    Raises:
        MalformedReply: They are not there, or are of another number of tokens.
    """
    try:
        if way == "prompt_logprobs":
            told = choice["prompt_logprobs"]
            found = [float(t[str(i)]["logprob"]) for i, t in zip(sent[1:], told[1:], strict=True)]
        else:
            found = [float(value) for value in choice["logprobs"]["token_logprobs"][1:]]
    except (KeyError, TypeError, ValueError) as error:
        msg = "the answer holds no logarithms of the prompt's tokens"
        raise MalformedReply(msg) from error
    if len(found) < len(sent) - 1:
        msg = f"logarithms of {len(found) + 1} tokens for {len(sent)}"
        raise MalformedReply(msg)
    return found[: len(sent) - 1]
