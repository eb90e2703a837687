#pragma once
// What the gateways share: the ways in which products that ship logs deliver what they have, to a node that answers as the product they know.
// All of them: 2xx only when every record is on disk; full or stopping is 503 with Retry-After for the whole request, before anything of it
// was kept; a token of the source, carried as the product carries its own.
// Life: the parts outlive the router the routes are added to. Thread rules: any thread.
#include <functional>
#include <string>

#include "base/settings.hpp"
#include "input/sink.hpp"
#include "live/gateways/gateway_book.hpp"
#include "live/gateways/record_ids.hpp"
#include "live/intake.hpp"
#include "net/http.hpp"

namespace bavn::live {

struct GatewayOptions {
  std::string elastic_version = "8.11.0";
  bool hec_query_token = false;
  std::size_t max_body = 32U << 20U;  // after decoding; Logstash sends up to 20 MiB
  /// Does a format read JSON documents? A token's format that does not is left to recognition, which looks into the document's message.
  std::function<bool(const std::string& format)> reads_documents{};
  static GatewayOptions from(const Settings& settings);
};

struct Gateways {
  Runtime& runtime;
  IntakeTokens& tokens;
  input::Sink& sink;
  RecordIds& ids;
  GatewayBook& book;
  GatewayOptions options;
};

/// At the root, as shippers expect it, and below /elastic: GET / belongs to this at an address where nothing else answers there, and so does
/// the router's guard.
void add_elastic_routes(net::Router& router, const Gateways& gateways);
/// /services/collector...
void add_hec_routes(net::Router& router, const Gateways& gateways);
/// Of a path of HEC: what is refused before a handler sees it (too large, not decoded, no room, no such path) is said in its own words, by
/// the same guard.
bool asked_of_hec(const net::Request& request);
void in_hecs_words(net::Reply& reply);

/// A delivery of the token's source, its lines each a record.
input::Delivery delivery_of(const Gateways& gateways, const IntakeToken& token);

}  // namespace bavn::live
