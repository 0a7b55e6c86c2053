"""The pages of the shop."""

from django.urls import path

from shop import views
from shop.mailbox import views as mailbox

app_name = "shop"
urlpatterns = [
    path("", views.front, name="front"),
    path("continue-as-ada/", views.continue_as_ada, name="continue_as_ada"),
    path("sign-in/", views.SignInView.as_view(), name="sign_in"),
    path("sign-out/", views.SignOutView.as_view(), name="sign_out"),
    path("forgot-password/", views.forgot_password, name="forgot_password"),
    path("reset-password/<uidb64>/<token>/", views.ResetPasswordView.as_view(), name="reset_password"),
    path("orders/", views.orders, name="orders"),
    path("orders/<str:number>/", views.order, name="order"),
    path("orders/<str:number>/pay/", views.pay, name="pay"),
    path("orders/<str:number>/ship/", views.ship, name="ship"),
    path("mailbox/", mailbox.index, name="mailbox"),
    path("mailbox/<str:name>/", mailbox.mail, name="mail"),
    path("mailbox/<str:name>/html/", mailbox.html, name="mail_html"),
]
