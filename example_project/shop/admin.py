"""The shop's own rows in the admin."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from shop.models import Customer, DailySales, Order, OrderLine, Product


@admin.register(Customer)
class CustomerAdmin(UserAdmin):  # type: ignore[type-arg] # only django-stubs knows it as generic
    fieldsets = (*(UserAdmin.fieldsets or ()), ("Shop", {"fields": ("phone", "language", "timezone")}))


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):  # type: ignore[type-arg] # only django-stubs knows it as generic
    list_display = ("name", "price")


class OrderLineInline(admin.TabularInline):  # type: ignore[type-arg] # only django-stubs knows it as generic
    model = OrderLine
    extra = 0


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):  # type: ignore[type-arg] # only django-stubs knows it as generic
    list_display = ("number", "customer", "status", "total", "placed_at")
    list_select_related = ("customer",)
    search_fields = ("number", "customer__email")
    inlines = (OrderLineInline,)


@admin.register(DailySales)
class DailySalesAdmin(admin.ModelAdmin):  # type: ignore[type-arg] # only django-stubs knows it as generic
    list_display = ("day", "orders", "total")
