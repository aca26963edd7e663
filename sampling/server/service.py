"""One model as it is served."""

from __future__ import annotations

from sampling.chat.batch import ChatBatch
from sampling.chat.completion import Completion
from sampling.chat.loaded_model import LoadedModel
from sampling.chat.prepared import prepare
from sampling.chat.request import ChatRequest, Request
from sampling.chat.text_completion import TextCompletion
from sampling.chat.text_request import TextRequest
from sampling.core.errors import InvalidArgument, InvalidRequest, NotEnoughMemory, listed
from sampling.core.params import integer
from sampling.dialects import dialect as dialect_named
from sampling.server.errors import unknown_model
from sampling.server.metrics import Metrics
from sampling.server.options import ServerOptions
from sampling.server.worker import Worker


class Service:
    """A model, the options it is served with, and the worker that decodes for it.

    Attributes:
        names: The model names that it answers to.
        context: Most tokens of prompt and answer.

    Raises:
        CheckpointError: The dialect does not take what the checkpoint says about sampling.
        InvalidArgument: The options do not fit the model.
    """

    def __init__(self, loaded: LoadedModel, options: ServerOptions) -> None:
        self.loaded, self.options = loaded, options
        self.dialect = dialect_named(options.dialect)
        loaded.defaults(self.dialect)
        self.names = options.names or (loaded.name,)
        longest = loaded.model.config.max_position_embeddings
        self.context = longest if options.max_context is None else options.max_context
        integer("max_context", self.context, 2, longest)
        self.metrics = Metrics()
        try:
            self.worker = Worker(self._new_batch, options.max_queue, self.metrics)
        except NotEnoughMemory as error:
            words = f"so few that keys and values of short rows fit into memory ({error.reason})"
            raise InvalidArgument("max_batch", options.max_batch, words) from error

    def warm_up(self) -> None:
        """Compute what is kept from the first request on."""
        _ = self.loaded.token_floor
        self.loaded.grammars.warm_up()
        self.loaded.fingerprint(self.dialect)

    def completion(self, request: ChatRequest) -> Completion:
        """Check a request against the model and the options.

        Raises:
            InvalidRequest: It cannot be served.
            ApiError: It names another model.
        """
        self._require_servable(request)
        return Completion(prepare(self.loaded, request, self.dialect, self.context))

    def text_completion(self, request: TextRequest) -> TextCompletion:
        """Do the same with a request that continues texts."""
        self._require_servable(request)
        return TextCompletion.of(self.loaded, request, self.dialect, self.context)

    def require_served(self, model: str) -> None:
        """Refuse the name of another model.

        Raises:
            ApiError: It is none of those that are served.
        """
        if model not in self.names:
            raise unknown_model(model, self.names)

    def _require_servable(self, request: Request) -> None:
        if request.model is None:
            raise InvalidRequest("model", None, f"one of {listed(self.names)}")
        self.require_served(request.model)
        integer("n", request.n, 1, self.options.max_batch)

    def _new_batch(self) -> ChatBatch:
        return ChatBatch(self.loaded, self.dialect, rows=self.options.max_batch, capacity=self.context)
