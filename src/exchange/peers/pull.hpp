#pragma once
// How a partner's machine is asked: the desk (peers/desk.hpp) says when, keeps the cursor, backs off and counts; a Puller of the kind (misp,
// misp_feed, taxii) knows the language. One that pushes (sentinel, defender) is a Puller, too: it reads the Library instead.
//   pullers["taxii"] = [](std::shared_ptr<Pull> pull, PullDone done) {
//     auto ask = pull->request(net::Method::get, "collections/");   // signed in, bounded, below the peer's URL
//     pull->client.send(std::move(*ask), pull->queue, [pull, done = std::move(done)](auto reply) mutable { ... done(Pulled{...}); });
//   };
// Life: a Pull lives as long as somebody holds it; after stop() its client answers `unavailable`. Thread rules: its parts belong to `queue`.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/runtime.hpp"
#include "base/secret.hpp"
#include "event/tlp.hpp"
#include "exchange/peers/library.hpp"
#include "match/indicators/indicator.hpp"
#include "net/client.hpp"

namespace bavn::exchange {

/// A partner as the desk keeps it, without its secret.
struct Peer {
  std::int64_t id = 0;
  std::string name{}, kind{}, direction{}, url{}, sign_in{}, user{};
  std::string options = "{}";  // JSON object of the kind
  event::Tlp ceiling = event::Tlp::green;
  std::vector<std::string> kinds{}, sectors{};
  std::uint8_t confidence = 50;
  match::indicators::Action strongest = match::indicators::Action::warn;
  event::Tlp tlp = event::Tlp::amber;
  std::int64_t valid_days = 90;
  std::int64_t every_s = 3600;
  std::string state{}, cursor{};
  Instant tried{}, ok{}, newest{};
  std::string error{};
  std::int64_t failures = 0, taken = 0, demoted = 0, dropped = 0, sent = 0;
  std::string made_by{};
  Instant made{};

  /// What it may have, as a Partner is asked.
  Partner as_partner() const;
};

struct Pull {
  Peer peer;
  Runtime& runtime;
  net::Client& client;
  QueueId queue{};
  const Library& library;
  std::string authorization{};  // the header's value; empty: none, or by a token that the kind asks for (oauth)
  std::shared_ptr<const Secret<std::string>> secret{};  // of oauth; else null
  std::size_t max_reply = 0;                            // bytes, a setting
  std::shared_ptr<void> keeps{};  // client and library, beyond the desk: they answer `unavailable` then

  /// target: a path below the peer's URL, "/path" of its host, or a whole URL. forbidden: it is of another host than the peer's (a secret
  /// must not go there, and a partner does not send us round the network).
  Result<net::ClientRequest> request(net::Method method, std::string_view target) const;
};

struct Pulled {
  std::string cursor{};    // of the kind, kept with the result: JSON with ETags, positions, at most 64 KiB
  Instant newest{};        // of what was seen, by the partner's clock; 1970: nothing new
  std::uint64_t sent = 0;  // of one that pushes
  bool more = false;       // there is more: come back at once
};

/// unavailable: away, tried again with growing pauses; forbidden: refused (a wrong key, an address inside), tried again once a day.
using PullDone = std::move_only_function<void(Result<Pulled>)>;
using Puller = std::function<void(std::shared_ptr<Pull>, PullDone)>;
using Pullers = std::map<std::string, Puller, std::less<>>;  // by kind

/// What an HTTP status that is not 2xx or 304 means for a pull, with the partner's words (cut) in it.
Error error_of(const net::ClientReply& reply, std::string_view asked);

}  // namespace bavn::exchange
