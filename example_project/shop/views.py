"""The pages of the shop: each asks a form or a model, lets `services` act, and shows the result."""

from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView, LogoutView, PasswordResetConfirmView
from django.core.cache import cache
from django.db.models import Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse_lazy
from django.utils import timezone
from django.views.decorators.http import require_POST

from shop import services
from shop.events import BESTSELLERS_CACHE_KEY
from shop.models import Customer, DailySales, Order, OrderLine, Product

MOST_BAGS = 9


class BasketForm(forms.Form):
    """One quantity per product, named `quantity_<pk>`."""

    def __init__(self, *args: object, products: list[Product], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.products = products
        for product in products:
            self.fields[f"quantity_{product.pk}"] = forms.IntegerField(
                label=f"Bags of {product}", min_value=0, max_value=MOST_BAGS, required=False
            )

    def quantities(self) -> dict[Product, int]:
        return {product: self.cleaned_data[f"quantity_{product.pk}"] or 0 for product in self.products}


class ForgotPasswordForm(forms.Form):
    email = forms.EmailField(
        label="Email address", widget=forms.EmailInput(attrs={"autocomplete": "email", "autofocus": True})
    )


class SignInView(LoginView):
    template_name = "shop/sign_in.html"
    redirect_authenticated_user = True


class SignOutView(LogoutView):
    next_page = "shop:front"


class ResetPasswordView(PasswordResetConfirmView):
    template_name = "shop/reset_password.html"
    success_url = reverse_lazy("shop:sign_in")

    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, "Your new password is set. You can sign in with it now.")
        return super().form_valid(form)


def front(request: HttpRequest) -> HttpResponse:
    """The products, as a form for those who are signed in."""
    products = list(Product.objects.all())
    best = _bestsellers()
    products.sort(key=lambda product: best.index(product.pk) if product.pk in best else len(best))
    return render(
        request,
        "shop/front.html",
        {
            "products": products,
            "bestseller": best[0] if best else None,
            "today": DailySales.objects.filter(day=timezone.now().date()).first(),
            "most_bags": MOST_BAGS,
        },
    )


@require_POST
def continue_as_ada(request: HttpRequest) -> HttpResponse:
    """Signs a visitor of the demo in as its customer Ada."""
    ada = get_object_or_404(Customer, username="ada")
    login(request, ada, backend="django.contrib.auth.backends.ModelBackend")
    return redirect("shop:front")


@login_required
def orders(request: HttpRequest) -> HttpResponse:
    """The customer's orders; a POST places a new one."""
    if request.method == "POST":
        return _place_order(request)
    return render(request, "shop/orders.html", {"orders": _customer(request).orders.all()})


@login_required
def order(request: HttpRequest, number: str) -> HttpResponse:
    return render(request, "shop/order.html", {"order": _own_order(request, number), "statuses": Order.Status})


@require_POST
@login_required
def pay(request: HttpRequest, number: str) -> HttpResponse:
    return _act(request, number, services.pay, "Thank you: your payment is in.")


@require_POST
@login_required
def ship(request: HttpRequest, number: str) -> HttpResponse:
    return _act(request, number, services.ship, "The parcel is on its way.")


def forgot_password(request: HttpRequest) -> HttpResponse:
    """Asks for an address and says the same whether or not somebody has it."""
    form = ForgotPasswordForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        services.request_password_reset(form.cleaned_data["email"])
        return render(request, "shop/forgot_password.html", {"sent_to": form.cleaned_data["email"]})
    return render(request, "shop/forgot_password.html", {"form": form})


def _place_order(request: HttpRequest) -> HttpResponse:
    form = BasketForm(request.POST, products=list(Product.objects.all()))
    if not form.is_valid():
        messages.error(request, f"Choose between 0 and {MOST_BAGS} bags of each coffee.")
        return redirect("shop:front")
    try:
        placed = services.place_order(_customer(request), form.quantities())
    except services.NotPossibleError as reason:
        messages.error(request, str(reason))
        return redirect("shop:front")
    messages.success(request, f"Thank you: order {placed.number} is placed, the receipt is on its way to your mailbox.")
    return redirect(placed)


def _act(request: HttpRequest, number: str, act: services.OrderAction, success: str) -> HttpResponse:
    mine = _own_order(request, number)
    try:
        act(mine)
    except services.NotPossibleError as reason:
        messages.error(request, str(reason))
    else:
        messages.success(request, success)
    return redirect(mine)


def _own_order(request: HttpRequest, number: str) -> Order:
    customer = _customer(request)
    visible = Order.objects.all() if customer.is_staff else customer.orders.all()
    found = visible.select_related("customer").prefetch_related("lines__product").filter(number=number).first()
    if found is None:
        raise Http404(f"You have no order {number}.")
    return found


def _customer(request: HttpRequest) -> Customer:
    """Whoever is signed in; for views behind `login_required`."""
    return cast(Customer, request.user)


def _bestsellers() -> list[int]:
    """The products by bags sold, most first, remembered for five minutes or until this process takes an order."""

    def count() -> list[int]:
        sold = (
            OrderLine.objects.order_by().values("product").annotate(bags=Sum("quantity")).order_by("-bags", "product")
        )
        return [row["product"] for row in sold]

    bestsellers: list[int] = cache.get_or_set(BESTSELLERS_CACHE_KEY, count, 5 * 60) or []
    return bestsellers
