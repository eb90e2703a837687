#pragma once
// Mailboxes of a municipality for the purge: what Microsoft Graph answers when a mail is looked for by its Message-ID, moved away, or put back.
// Every attack's mail lies in one until it is moved; harmless mail is known by its Message-ID only, so that moving it is noticed.
// Life: as the Traffic it is given. Thread rules: one thread.
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "act/purge.hpp"
#include "app/simulate/towns.hpp"
#include "app/simulate/traffic.hpp"
#include "base/runtime.hpp"

namespace bavn::app::simulate {

class Mailboxes {
 public:
  Mailboxes(Runtime& runtime, Traffic& traffic, const Towns& towns);

  /// What a node's own message trace has told so far: where purge may look.
  void traced(std::size_t town, const event::MailFact& mail);
  act::PurgeWays ways(std::size_t town, act::AskDuty ask_duty);

  std::int64_t moved_wrongly() const { return moved_wrongly_; }
  std::int64_t moved() const { return moved_; }
  std::int64_t put_back() const { return put_back_; }

 private:
  struct Item {
    std::size_t town = 0;
    std::string mailbox, message_id, sender;
    std::size_t copy = SIZE_MAX;  // of an attack; else harmless
    bool recoverable = false;
  };
  act::GraphReply answer(std::size_t town, const act::GraphCall& call);
  void located(std::size_t town, const act::LocateAsk& ask, std::move_only_function<void(Result<act::Located>)> then);

  Runtime& runtime_;
  Traffic& traffic_;
  const Towns& towns_;
  QueueId queue_;
  struct Traced {
    Instant at;
    std::vector<std::string> mailboxes;
    std::string sender;
  };
  std::size_t item_of(std::size_t town, const std::string& mailbox, const std::string& message_id,
                      const std::string& sender);
  // By town and Message-ID; older than a purge looks back is forgotten.
  std::vector<std::map<std::string, Traced, std::less<>>> trace_;
  std::deque<std::pair<std::size_t, std::string>> order_;
  std::vector<Item> items_;
  std::map<std::string, std::vector<std::size_t>, std::less<>>
      by_place_;  // mailbox and Message-ID; made when purge asks
  std::int64_t moved_ = 0, moved_wrongly_ = 0, put_back_ = 0;
};

}  // namespace bavn::app::simulate
