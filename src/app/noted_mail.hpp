#pragma once
// Mail that is written down in What left us before it leaves: a line with the server, the address and the size. When the line cannot be
// written, the mail does not leave.
// Life: gone after State::stop(), before what it was made with. Thread rules: any thread.
#include <memory>
#include <string>

#include "beacon/left_us.hpp"
#include "notify/mail.hpp"

namespace bavn::app {

class NotedMail final : public notify::MailCarrier {
 public:
  /// server: host:port, as it stands in the line. left_us and inner must outlive it.
  NotedMail(beacon::LeftUs& left_us, notify::MailCarrier& inner, std::string server)
      : left_us_(left_us), inner_(inner), server_(std::move(server)) {}
  void send(notify::Mail mail, QueueId queue, std::move_only_function<void(Result<std::string>)> then) override;

 private:
  beacon::LeftUs& left_us_;
  notify::MailCarrier& inner_;
  std::string server_;
};

}  // namespace bavn::app
