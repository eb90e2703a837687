#pragma once
// For tests of purge: mailboxes behind the two functions it reaches the world by, with what goes wrong there. An effect comes after the
// request, the answer after the effect: whoever is killed in between sees neither.
#include <algorithm>
#include <map>
#include <set>

#include "act/purge_graph.hpp"
#include "base/json_writer.hpp"
#include "base/sim.hpp"
#include "base/text.hpp"
#include "net/http.hpp"
#include "net/json_value.hpp"

namespace bavn::act {

struct MadeMail {
  std::string item, folder, message_id, sender, network_id;
  std::vector<std::string> answers;
};

class Mailboxes {
 public:
  explicit Mailboxes(Sim& sim)
      : sim_(sim), queue_(sim.queue({.name = "microsoft", .threads = 1, .limit = 1'000'000})) {}

  void deliver(const std::string& mailbox, const std::string& message_id, const std::string& sender,
               const std::string& folder = "inbox", std::vector<std::string> answers = {}) {
    boxes[mailbox].push_back({next(), folder, message_id, sender, "net-" + message_id, std::move(answers)});
    trace.push_back({mailbox, message_id, sender, "net-" + message_id, sim_.now(), {}, false});
  }
  std::size_t in(std::string_view folder) const {
    std::size_t n = 0;
    for (const auto& [name, mails] : boxes)
      n += static_cast<std::size_t>(
          std::count_if(mails.begin(), mails.end(), [&](const MadeMail& m) { return m.folder == folder; }));
    return n;
  }
  std::size_t elsewhere() const { return all() - in(kRecoverable); }
  std::size_t all() const {
    std::size_t n = 0;
    for (const auto& [name, mails] : boxes) n += mails.size();
    return n;
  }
  /// Where each mail is: the same after a run without and one with trouble.
  std::map<std::string, std::vector<std::string>> picture() const {
    std::map<std::string, std::vector<std::string>> out;
    for (const auto& [name, mails] : boxes) {
      for (const auto& m : mails) out[name].push_back(m.message_id + " in " + m.folder);
      std::sort(out[name].begin(), out[name].end());
    }
    return out;
  }

  Ask ask() {
    return [this](GraphCall call, std::move_only_function<void(GraphReply)> then) {
      ++requests;
      sim_.after(wait(), queue_, [this, call = std::move(call), then = std::move(then)]() mutable {
        GraphReply reply = effect(call);
        if (lost_answers > 0 && sim_.random_below(1000) < lost_answers)
          reply = {.status = 0, .body = {}, .code = {}, .what = "the connection was cut"};
        sim_.after(wait(), queue_,
                   [reply = std::move(reply), then = std::move(then)]() mutable { then(std::move(reply)); });
      });
    };
  }
  Locate locate() {
    return [this](LocateAsk asked, std::move_only_function<void(Result<Located>)> then) {
      ++looks;
      sim_.after(wait(), queue_, [this, asked = std::move(asked), then = std::move(then)]() mutable {
        if (trace_broken) return then(fail(Code::unavailable, "the history cannot be read"));
        Located out;
        for (const auto& p : trace) {
          const auto& key = p.forward_of.empty() ? p.message_id : p.forward_of;
          if (p.at + trace_delay <= sim_.now() &&
              std::find(asked.message_ids.begin(), asked.message_ids.end(), key) != asked.message_ids.end())
            out.places.push_back(p);
        }
        then(std::move(out));
      });
    };
  }

  std::map<std::string, std::vector<MadeMail>> boxes;
  std::vector<Place> trace;
  Duration trace_delay{0};
  std::set<std::string> forbidden, unknown, full;
  bool filter_ignored = false, trace_broken = false, defender = false;
  unsigned lost_answers = 0;  // of 1000
  std::set<std::string> lost_folders;
  std::uint64_t requests = 0, looks = 0, moves = 0, remediations = 0;
  std::function<void(const GraphCall&)> before;  // what people do meanwhile

 private:
  std::string next() { return "item" + std::to_string(++items_); }
  Duration wait() { return Duration(static_cast<std::int64_t>(1000 + sim_.random_below(50'000))); }
  static GraphReply no(int status, std::string code) {
    return {.status = status, .body = {}, .code = code, .what = "Microsoft said " + code};
  }
  std::string list(std::span<const MadeMail* const> mails) {
    std::string out;
    JsonWriter w(out);
    w.object().key("value").array();
    for (const auto* m : mails) {
      w.object()
          .member("id", m->item)
          .member("parentFolderId", m->folder)
          .member("internetMessageId", "<" + m->message_id + ">");
      w.key("from").object().key("emailAddress").object().member("address", m->sender).end().end();
      w.key("internetMessageHeaders").array();
      for (const auto& a : m->answers) w.object().member("name", "In-Reply-To").member("value", "<" + a + ">").end();
      w.end().end();
    }
    w.end().end();
    return out;
  }
  GraphReply effect(const GraphCall& call) {
    if (before) before(call);
    const auto q = net::request_for(call.post ? net::Method::post : net::Method::get, call.path).value();
    if (call.security) return defend(call, q);
    const auto parts = split(std::string_view(q.path).substr(1), '/');  // v1.0 users MAILBOX ...
    const std::string mailbox(parts[2]);
    if (unknown.contains(mailbox)) return no(404, "ErrorInvalidUser");
    if (forbidden.contains(mailbox)) return no(403, "ErrorAccessDenied");
    auto& mails = boxes[mailbox];
    if (!call.post) {
      const bool recoverable = q.path.find(kRecoverable) != std::string::npos;
      std::string filter(q.asked("$filter").value_or(""));
      const auto from = filter.find('<'), to = filter.find('>');
      const auto id = filter.substr(from + 1, to - from - 1);
      std::vector<const MadeMail*> out;
      for (const auto& m : mails)
        if ((m.folder == kRecoverable) == recoverable && (filter_ignored || m.message_id == id)) out.push_back(&m);
      return {.status = 200, .body = list(out), .code = {}, .what = {}};
    }
    const std::string item(parts[4]);
    const auto document = net::JsonDocument::parse(call.body).value();
    const std::string folder(document.root()["destinationId"].text_or(""));
    if (lost_folders.contains(folder)) return no(404, "ErrorFolderNotFound");
    const auto at = std::find_if(mails.begin(), mails.end(), [&](const MadeMail& m) { return m.item == item; });
    if (at == mails.end()) return no(404, "ErrorItemNotFound");
    if (full.contains(mailbox)) return no(507, "ErrorQuotaExceeded");
    ++moves;
    at->folder = folder;
    at->item = next();
    return {.status = 201, .body = R"({"id":")" + at->item + R"("})", .code = {}, .what = {}};
  }
  GraphReply defend(const GraphCall& call, const net::Request& q) {
    if (!defender) return no(403, "Forbidden");
    if (!call.post) {
      const std::string filter(q.asked("$filter").value_or(""));
      std::string out = R"({"value":[)";
      for (const auto& m : boxes[call.mailbox])
        if (filter.find("'" + m.network_id + "'") != std::string::npos)
          out += R"({"networkMessageId":")" + m.network_id + R"(","recipientEmailAddress":")" + call.mailbox +
                 R"(","latestDelivery":{"location":")" + (m.folder == kRecoverable ? "deletedFolder" : "inbox_folder") +
                 "\"}}";
      return {.status = 200, .body = out + "]}", .code = {}, .what = {}};
    }
    ++remediations;
    const auto document = net::JsonDocument::parse(call.body).value();
    const bool away = document.root()["action"].text_or("") == "softDelete";
    for (const net::JsonValue m : document.root()["analyzedEmails"]) {
      const std::string mailbox(m["recipientEmailAddress"].text_or("")), id(m["networkMessageId"].text_or(""));
      sim_.after(std::chrono::seconds(20 + sim_.random_below(60)), queue_, [this, mailbox, id, away] {
        for (auto& mail : boxes[mailbox])
          if (to_lower(mail.network_id) == id) mail.folder = away ? std::string(kRecoverable) : std::string("inbox");
      });
    }
    return {.status = 202, .body = {}, .code = {}, .what = {}};
  }
  Sim& sim_;
  QueueId queue_;
  std::uint64_t items_ = 0;
};

}  // namespace bavn::act
