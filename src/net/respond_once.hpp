#pragma once
// A Respond that cannot be forgotten: when it dies uncalled (a handler threw, a full queue dropped it) the answer is 500.
#include <memory>
#include <utility>

#include "net/http.hpp"

namespace bavn::net {

inline Respond respond_once(Respond respond) {
  struct Once {
    Respond respond;
    explicit Once(Respond r) : respond(std::move(r)) {}
    ~Once() {
      if (respond) respond(problem(500, "Internal error", "the request was not answered; the log may say why"));
    }
  };
  return [once = std::make_unique<Once>(std::move(respond))](Reply reply) mutable {
    if (once->respond) std::exchange(once->respond, nullptr)(std::move(reply));
  };
}

}  // namespace bavn::net
