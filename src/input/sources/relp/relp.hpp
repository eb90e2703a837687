#pragma once
// RELP over TCP and TLS: a sender is answered when its record is on disk, so nothing is lost whatever dies on this side (records that were
// stored and not yet answered come twice: RELP has no ids). Life and thread rules: a Listener.
#include <memory>

#include "input/sources/listener.hpp"

namespace bavn::input::sources::relp {

struct RelpOptions : ListenerOptions {
  RelpOptions() {
    port = 2514;
    max_message = 128U << 10U;  // librelp sends at most 128 KiB unless told
  }
};

/// Errors: those of Listener::start.
Result<std::unique_ptr<Listener>> start_listener(Runtime& runtime, Sink& sink, SourceBook& book, RelpOptions options);

}  // namespace bavn::input::sources::relp
