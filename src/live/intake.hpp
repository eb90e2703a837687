#pragma once
// HTTP intake: POST /intake/v1/{source} with NDJSON or lines, one bearer token a source. 2xx only when every accepted record is on disk;
// 503 with Retry-After, before the body is read where the length is known, when there is no room: nothing of it was kept then.
//   headers: Authorization: Bearer bavn_in_... (or Splunk, ApiKey, Basic: see README.md); Idempotency-Key or X-Batch-Id: the same (source, id) within 24 h is stored once
//   query:   format=NAME (the token's format when not given; else recognised)
//   answers: 200 {"accepted":n,"refused":n,"duplicate":b,"reasons":[{"reason","count","first"}]}; 422 the same when nothing was accepted
// Life: the State and the Sink outlive it, and the Router it is added to does not. Thread rules: any thread.
#include <memory>
#include <string>
#include <vector>

#include "base/guarded.hpp"
#include "event/scope.hpp"
#include "input/sink.hpp"
#include "net/http.hpp"
#include "store/state.hpp"

namespace bavn::live {

struct IntakeToken {
  std::int64_t id = 0;
  std::string source;
  std::int64_t municipality = 0, tenant = 0;
  std::string format;
  std::string hash;
  std::string made_by;
  std::int64_t made_at_us = 0, revoked_at_us = 0;
};

class IntakeTokens {
 public:
  static Result<std::unique_ptr<IntakeTokens>> open(store::State& state);
  /// The token, shown once: only its hash is kept. Audited.
  Result<std::string> issue(const event::Scope& scope, const std::string& source, MunicipalityId municipality,
                            TenantId tenant, const std::string& format);
  Result<void> revoke(const event::Scope& scope, std::int64_t id);
  Result<std::vector<IntakeToken>> list(const event::Scope& scope) const;

  /// For the Router's authenticator: who sends. not_found: the request carries no token of ours (somebody else may know it);
  /// forbidden: it does, and it is wrong or revoked.
  Result<event::Scope> authenticate(const net::Request& request) const;
  std::shared_ptr<const IntakeToken> of(const net::Request& request) const;

 private:
  explicit IntakeTokens(store::State& state) : state_(state) {}
  Result<void> load();
  store::State& state_;
  struct Known;
  Guarded<std::shared_ptr<const std::vector<IntakeToken>>> known_;
};

constexpr std::size_t kMostIntakeBody = 16U << 20U;

void add_intake_routes(net::Router& router, IntakeTokens& tokens, input::Sink& sink,
                       std::size_t max_body = kMostIntakeBody);

}  // namespace bavn::live
