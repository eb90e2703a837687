#pragma once
// The page where an employee reports a mail: no script, no account, one question. What is told becomes a record of the format bavn_report, and
// so a fact "reported" for whoever watches at the node; the employee is thanked with the number of colleagues who saw the same.
// Life: made before the router is served, gone after. Thread rules: any thread.
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/catalogue.hpp"
#include "base/runtime.hpp"
#include "net/http.hpp"
#include "show/web/limits.hpp"
#include "store/retention.hpp"
#include "store/state.hpp"

namespace bavn::show::pages {

/// What a form says, cleaned: canonical where it can be, one line, within limits.
struct MailReport {
  std::string reporter;  // the employee's own address; may be empty
  std::string sender;    // address or what stands there
  std::string subject, message_id, link;
  std::string did = "read";  // read, opened, typed
  std::string note;
};

struct ReadReport {
  MailReport report;
  std::vector<std::pair<std::string_view, std::string_view>> faults;  // field and key of the catalogue
};
/// body: application/x-www-form-urlencoded, or what a stranger made of it.
ReadReport read_report(std::string_view body);

class ReportDesk {
 public:
  /// Puts records on disk: lines of JSON, id: of the delivery. `done` is called once, from any thread.
  using Deliver =
      std::function<void(std::string lines, std::string id, std::move_only_function<void(Result<void>)> done)>;
  ReportDesk(Runtime& runtime, store::State& state, const Catalogue& texts, Deliver deliver);
  /// /report (also /anmeld and /rapporter) and /report/thanks/{token}.
  void add_routes(net::Router& router);
  static store::RetentionRule retention();

 private:
  net::Reply form(Language language, const ReadReport& filled, int status, std::string_view trouble = {}) const;
  void take(net::Request request, net::Respond respond);
  net::Reply thanks(const net::Request& request) const;

  Runtime& runtime_;
  store::State& state_;
  const Catalogue& texts_;
  Deliver deliver_;
  web::Limits limits_;
};

}  // namespace bavn::show::pages
